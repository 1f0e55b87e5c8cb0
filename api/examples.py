"""Examples of jobs in the OpenAPI document; a test submits each of them."""

from __future__ import annotations

from typing import Any

JOBS: dict[str, Any] = {
    "defaults": {
        "summary": "iCaRL with its published defaults on a common track",
        "value": {
            "method": {"name": "icarl", "temperature": 2.0},
            "track": "cifar100-b0-inc10-m2000-resnet32",
            "seeds": [1993, 1994, 1995],
        },
    },
    "small": {
        "summary": "A run that takes seconds on a CPU",
        "value": {
            "method": {"name": "replay", "preset": "small"},
            "track": "digits-b0-inc2-m50-convnet",
            "seeds": [1],
            "name": "a first try",
        },
    },
    "spelled out": {
        "summary": "A track as an object, with a memory budget in bytes",
        "value": {
            "method": {"name": "finetune", "later_tasks": {"epochs": 10, "milestones": [6, 8]}},
            "track": {
                "dataset": "cifar10",
                "protocol": {"first": 4, "increment": 2, "class_order": 7},
                "memory": {"kind": "bytes", "amount": 614400},
                "backbone": "convnet",
            },
            "seeds": [1, 2],
        },
    },
}
