"""DualPrompt: a general prefix, and one expert per task that its key finds."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from cil_core.nets.sites import Prefix


def test_an_expert_starts_as_the_last_one_ended_but_for_its_key(start_pretrained: Any) -> None:
    walk = start_pretrained("dualprompt")
    walk.grown(1)
    first, second = walk.method.net.experts
    assert torch.equal(first.prompts, second.prompts)
    assert not torch.equal(first.key, second.key)


def test_old_experts_keys_and_rows_rest_and_the_general_prompt_moves(
    start_pretrained: Any, differing: Any
) -> None:
    walk = start_pretrained("dualprompt")
    walk.finish(0)
    task = walk.grown_next(1)
    before = walk.state()
    list(walk.phases(task))
    assert differing(before, walk.state()) == {
        "net.general",
        "net.sites.1.prompts",
        "net.sites.1.key",
        "net.head.weights.1",
        "net.head.biases.1",
    }


def test_every_image_gets_key_and_value_of_its_own_expert(start_pretrained: Any, monkeypatch: Any) -> None:
    """Distinct integers per expert, block, key or value: a mixed-up axis would show."""
    walk = start_pretrained("dualprompt")
    task = walk.grown(2)
    net = walk.method.net
    seen: list[Prefix] = []
    monkeypatch.setattr(net, "embed", lambda x, sites: (seen.append(sites), torch.zeros(len(x), 32))[1])
    with torch.no_grad():
        for number, expert in enumerate(net.experts):
            for block in range(2):
                for part in range(2):
                    expert.prompts[block, part] = 100 * number + 10 * block + part
    chosen = torch.tensor([2, 0, 1, 1, 2])
    net.prompted(walk.batch(task, 5).x, chosen)
    prompts = seen[0].prompts
    assert sorted(prompts) == [0, 1, 2]
    for image, number in enumerate(chosen.tolist()):
        for block in range(2):
            for part in range(2):
                assert (prompts[1 + block][image, part] == 100 * number + 10 * block + part).all()
        assert torch.equal(prompts[0][image], net.general[0])


def test_a_test_image_takes_the_expert_with_the_most_similar_key(start_pretrained: Any) -> None:
    walk = start_pretrained("dualprompt")
    task = walk.grown(2)
    net = walk.method.net
    x = walk.batch(task, 12).x
    with torch.no_grad():
        query = net.query(x)
        net.experts[1].key.copy_(query[0])
        chosen = net.similarities(query).argmax(dim=1)
        assert chosen[0] == 1
        order = torch.randperm(12, generator=torch.Generator().manual_seed(1))
        assert torch.equal(net.similarities(query[order]).argmax(dim=1), chosen[order])
        assert torch.allclose(net.features(x), net.prompted(x, chosen))
        assert torch.allclose(net.features(x[:1]), net.features(x)[:1], atol=1e-5)


def test_training_uses_the_tasks_expert_for_every_image(start_pretrained: Any) -> None:
    walk = start_pretrained("dualprompt")
    task = walk.grown(1)
    batch, net = walk.batch(task), walk.method.net
    found = walk.method.losses(batch, walk.step(task))
    features = net.prompted(batch.x, torch.ones(len(batch), dtype=torch.long))
    expected = F.cross_entropy(net.head.newest(features), batch.y - task.known)
    assert found["classification"].item() == pytest.approx(expected.item(), rel=1e-5)
    cosines = F.cosine_similarity(net.query(batch.x), net.experts[1].key[None])
    assert found["key"].item() == pytest.approx(-0.1 * cosines.mean().item(), rel=1e-5)


def test_queries_are_those_of_the_published_network_in_every_task(start_pretrained: Any) -> None:
    walk = start_pretrained("dualprompt")
    x = walk.batch(walk.task(0)).x
    published = walk.method.net.query(x)
    for index in range(3):
        assert torch.equal(walk.finish(index).net.query(x), published)


def test_there_are_as_many_experts_as_tasks(start_pretrained: Any) -> None:
    track = "digits-b2-inc1-m0-vit_8px-holdout50-letters"
    walk = start_pretrained("dualprompt", track=track)
    for index in range(len(walk.stream)):
        walk.grown_next(index)
    assert len(walk.method.net.experts) == len(walk.stream) == 9
