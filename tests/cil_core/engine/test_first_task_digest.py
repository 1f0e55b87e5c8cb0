"""The digest of a state: equal bits have equal digests, whatever their strides."""

import torch

from cil_core.engine.first_task import digest


def test_strides_change_no_digest() -> None:
    column = torch.arange(48.0).reshape(3, 16)[:, :1]
    assert column.stride() == (16, 1)
    odd = torch.as_strided(torch.arange(3.0), (3, 1), (1, 16))
    assert digest({"a": odd}) == digest({"a": torch.arange(3.0)[:, None]})
    assert digest({"a": column}) == digest({"a": column.clone(memory_format=torch.contiguous_format)})


def test_another_bit_another_name_and_another_shape_change_it() -> None:
    values = torch.arange(4.0)
    digests = {
        digest({"a": values}),
        digest({"b": values}),
        digest({"a": values.reshape(2, 2)}),
        digest({"a": values + 1e-6}),
        digest({"a": values.double()}),
    }
    assert len(digests) == 5
