"""L2P: every test image takes its prompts from the pool alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from cil_core.nets.prompts import best


def test_prompts_stand_between_class_token_and_patches_with_its_position(start_pretrained: Any) -> None:
    """Three prompts of two tokens: the sequence has 1 + 6 + 16 tokens."""
    walk = start_pretrained("l2p")
    task = walk.grown(0)
    net, x = walk.method.net, walk.batch(task, 5).x
    vit = net.backbone.network
    with torch.no_grad():
        chosen = best(net.similarities(net.query(x)), 3)
        tokens = vit._pos_embed(vit.patch_embed(x))
        prompts = net.pool.prompts[chosen].reshape(5, 6, 32) + vit.pos_embed[0, 0]
        sequence = torch.cat([tokens[:, :1], prompts, tokens[:, 1:]], dim=1)
        assert sequence.shape[1] == 23
        expected = vit.norm(vit.blocks(sequence))[:, 1:7].mean(dim=1)
        assert torch.allclose(net.features(x), expected, atol=1e-5)


def test_an_image_chooses_alone_as_in_any_batch(start_pretrained: Any) -> None:
    walk = start_pretrained("l2p")
    for index in range(3):
        walk.finish(index)
    net, x = walk.method.net, walk.batch(walk.task(2), 16).x
    order = torch.randperm(16, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        together = net(x).logits
        assert torch.allclose(net(x[order]).logits, together[order], atol=1e-5)
        alone = torch.cat([net(image[None]).logits for image in x])
        assert torch.allclose(alone, together, atol=1e-5)


@pytest.mark.parametrize("choice", ["batch", "sample"])
def test_prompts_and_keys_that_no_image_chose_get_no_gradient(start_pretrained: Any, choice: str) -> None:
    walk = start_pretrained("l2p", choice=choice)
    task = walk.grown(0)
    batch, net = walk.batch(task), walk.method.net
    chosen = walk.method.choice(net.similarities(net.query(batch.x)))
    sum(walk.method.losses(batch, walk.step(task)).values()).backward()
    used = F.one_hot(chosen.flatten(), 10).sum(dim=0) > 0
    assert not used.all()
    for parameter in (net.pool.prompts, net.pool.keys):
        assert torch.equal(parameter.grad.flatten(1).abs().sum(dim=1) > 0, used)


def test_a_whole_batch_trains_the_same_prompts(start_pretrained: Any) -> None:
    walk = start_pretrained("l2p")
    task = walk.grown(0)
    net, x = walk.method.net, walk.batch(task).x
    chosen = walk.method.choice(net.similarities(net.query(x)))
    assert (chosen == chosen[0]).all()
    assert len(set(chosen[0].tolist())) == 3


def test_the_loss_is_cross_entropy_less_the_sum_of_chosen_similarities(start_pretrained: Any) -> None:
    walk = start_pretrained("l2p", choice="sample")
    task = walk.grown(1)
    batch, net = walk.batch(task), walk.method.net
    found = walk.method.losses(batch, walk.step(task))
    logits = net.head.newest(net.features(batch.x))
    assert found["classification"].item() == pytest.approx(
        F.cross_entropy(logits, batch.y - task.known).item(), rel=1e-5
    )
    cosines = F.cosine_similarity(net.query(batch.x)[:, None], net.pool.keys[None], dim=2)
    expected = -0.1 * cosines.topk(3, dim=1).values.sum(dim=1).mean()
    assert found["keys"].item() == pytest.approx(expected.item(), rel=1e-5)


def test_only_the_pool_and_new_rows_train(start_pretrained: Any, differing: Any) -> None:
    walk = start_pretrained("l2p")
    walk.finish(0)
    task = walk.grown_next(1)
    before = walk.state()
    list(walk.phases(task))
    changed = differing(before, walk.state())
    assert changed == {
        "net.sites.0.prompts",
        "net.sites.0.keys",
        "net.head.weights.1",
        "net.head.biases.1",
    }


def test_usage_of_the_pool_is_reported_between_zero_and_one(start_pretrained: Any) -> None:
    walk = start_pretrained("l2p")
    usage = walk.finish(0).diagnostics["prompt_usage"]
    assert torch.log(torch.tensor(3.0)) / torch.log(torch.tensor(10.0)) - 1e-6 <= usage <= 1
