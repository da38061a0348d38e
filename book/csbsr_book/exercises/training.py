"""Checks of the exercises on joint training and its schedules (chapters 3, 7, 10)."""

import torch
from torch import Tensor

from csbsr.protocol import PRINTED, RELEASED
from csbsr.training.schedules import RELEASED_EPOCH, RELEASED_STEP3, alpha_scaled, beta_at
from csbsr_book.exercises.answers import array, contrast, number, right, same
from csbsr_book.paper.printed import load_table

TRAINING_IMAGES, BATCH = 9122, 6


def vanishing_term(term: object) -> None:
    """The gradient of Eq. 2 that is always zero, as (loss, network)."""
    same("term", term, ("L_S", "C"), "which loss does not depend on which network?")
    right("the SR loss never looks at C")


def joint_loss(total: object, l_s: Tensor, l_c: Tensor, beta: float) -> None:
    """Eq. 2 for a batch of losses."""
    array("total", total, (1 - beta) * l_s + beta * l_c, "(1 - beta) L_S + beta L_C")
    right("one number per image; the mean over the batch is descended")


def adam_step(factor: object) -> None:
    """By which factor a step of C changes when beta is halved and Adam updates it."""
    moved = []
    for beta in (0.2, 0.1):
        weight = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))
        optimiser = torch.optim.Adam([weight], lr=1e-3)
        for _ in range(20):
            optimiser.zero_grad()
            (beta * (weight - 3) ** 2).sum().backward()
            optimiser.step()
        moved.append(float(weight.detach()))
    number("factor", factor, moved[1] / moved[0], "Adam divides by the size of recent gradients")
    right("beta acts through S, where two gradients are mixed")


def price_of_one(drop: object) -> None:
    """Loss of PSNR from beta = 0.3 to beta = 1 in Table III, blind."""
    table = load_table("III")
    expected = table.value("csbsr-pspnet", "PSNR") - table.value("csbsr-pspnet-beta1.0", "PSNR")
    number("drop", drop, expected, "rows 0.3 and 1.0 of the upper half of Table III", 0.002)
    right("what S makes is then an input for C, and no picture of the wall")


def isolating(arms: object) -> None:
    """Two experiments between which only the gradient of L_C in S changes."""
    contrast(arms, "coupling", {"joint", "detached"}, "S must train on in both")
    right("a difference between them is an effect of joint learning and of nothing else")


def epochs(number_of: object) -> None:
    """Epochs of step 3."""
    expected = RELEASED_STEP3 * BATCH / TRAINING_IMAGES
    number("epochs", number_of, expected, "iterations times batch, divided by the images")
    right("about one hundred, one for each hundredth of alpha")


def half_boundary(iteration: object) -> None:
    """The iteration of step 3 in which alpha reaches one half."""
    hint = "50 rises of 0.01, one per epoch of 1,521 iterations"
    number("iteration", iteration, 50 * RELEASED_EPOCH, hint, tolerance=1e-6)
    right("half way through step 3")


def short_step(alpha: object, loss: object) -> None:
    """alpha at the end of 1,500 iterations with the rise per epoch, and the loss trained."""
    number("alpha", alpha, 0.0, "is one epoch ever completed?")
    same("loss", loss, "combo", "what is left of Eq. 3 at alpha = 0?")
    right("a shortened run must compress the schedule, or it trains another loss")


def compressed(alpha: object) -> None:
    """alpha in the middle of a step of 1,500 iterations with the compressed schedule."""
    number("alpha", alpha, alpha_scaled(750, 1500), "call `alpha_scaled(iteration, total)`")
    right("the same course as over 150,000 iterations")


def equal_budget(rate: object) -> None:
    """The constant rate that sums to as much in 3,000 iterations as step 3 of the paper."""
    hint = "150,000 times 2e-5, divided by 3,000"
    number("rate", rate, RELEASED_STEP3 * 2e-5 / 3000, hint)
    right("equal sums of learning rates are one half of a fair comparison, equal updates the other")


def increasing_holds(csbsr: object, cssr: object) -> None:
    """For which half of Table III increasing beta has the best HD95_min and AHD95."""
    table = load_table("III")
    for name, given in (("csbsr", csbsr), ("cssr", cssr)):
        row = f"{name}-pspnet-increasing"
        block = table.row(row).block
        expected = all(row in table.best(m, block=block) for m in ("HD95_min", "AHD95"))
        same(name, given, expected, "look for the smallest HD95_min and AHD95 of the block")
    right("the statement holds for one of the two halves")


def share_of_loss(early: object, late: object) -> None:
    """Share of beta L_C in L_J at beta = 0.3, L_S = 0.03, for L_C = 1 and for L_C = 0.02."""
    for name, given, l_c in (("early", early, 1.0), ("late", late, 0.02)):
        expected = 0.3 * l_c / (0.7 * 0.03 + 0.3 * l_c)
        number(name, given, expected, "beta L_C / ((1 - beta) L_S + beta L_C)")
    right("a constant beta does not hold the share constant")


def ramps(paper: object, released: object) -> None:
    """Increasing beta in the middle of step 3, by the paper and by the released code."""
    for name, given, protocol in (("paper", paper, PRINTED), ("released", released, RELEASED)):
        expected = beta_at(RELEASED_STEP3 // 2, RELEASED_STEP3, "increasing", protocol)
        number(name, given, expected, "the code divides by 140,000 in place of 150,000", 0.002)
    right("the two ramps hardly differ")


def longer_training(arms: object) -> None:
    """Two experiments between which only the length of the training of S changes."""
    hint = "neither may let the gradient of L_C into S"
    contrast(arms, "coupling", {"independent", "detached"}, hint)
    right("this contrast is the part of the paper's gap that is not joint learning")
