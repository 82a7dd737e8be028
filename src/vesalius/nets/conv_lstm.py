"""The convolutional LSTM: a memory that goes through slices or frames."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vesalius.nets.blocks import convolution

REMEMBER = 1.0
"""First bias of the forget gate, so that the memory lasts until training says otherwise.
Source: Gers et al. 2000, doi:10.1162/089976600300015015; Jozefowicz et al. 2015, PMLR 37."""


class ConvLSTM(nn.Module):
    """An LSTM whose states are images and whose products are convolutions, through slices in one direction.

    At slice t, with input x, output h and memory c, and * for convolution:

    ```text
    i, f, o = sigmoid(W_x * x_t + W_h * h_(t-1) + b)        in, forget and out gate, each with its own weights
    g       = tanh   (W_x * x_t + W_h * h_(t-1) + b)
    c_t     = f c_(t-1) + i g
    h_t     = o tanh(c_t)
    ```

    States start at zero. The peephole terms of the paper (the memory times a learned image) are left out, as they tie
    the weights to one size of image. The convolutions of the input are done for all slices at once.

    Args:
        inputs: Channels of the input.
        hidden: Channels of the output and of the memory.
        kernel: Odd size of the convolutions.
        reverse: Whether it goes from the last slice to the first.

    Example:
        >>> ConvLSTM(4, 8, 3)(torch.zeros(2, 5, 4, 6, 6)).shape
        torch.Size([2, 5, 8, 6, 6])

    Source: Shi et al. 2015, arXiv:1506.04214, equation 3; checked against the equations, one slice after the other.
    """

    def __init__(self, inputs: int, hidden: int, kernel: int, *, reverse: bool = False) -> None:
        super().__init__()
        self.hidden = hidden
        self.reverse = reverse
        self.look = convolution(inputs, 4 * hidden, (kernel, kernel), slope=1.0)
        self.recall = convolution(hidden, 4 * hidden, (kernel, kernel), bias=False, slope=1.0)
        assert self.look.bias is not None
        with torch.no_grad():
            self.look.bias[hidden : 2 * hidden] = REMEMBER

    def forward(self, x: Float[Tensor, "b s c *plane"]) -> Float[Tensor, "b s d *plane"]:
        """The output at each slice.

        Args:
            x: A stack of slices.
        """
        seen = self.look(x.flatten(0, 1))
        seen = seen.reshape(*x.shape[:2], *seen.shape[1:])
        output = memory = seen.new_zeros(x.shape[0], self.hidden, *x.shape[3:])
        outputs: dict[int, Tensor] = {}
        steps = range(x.shape[1])
        for step in reversed(steps) if self.reverse else steps:
            enter, forget, leave, new = (seen[:, step] + self.recall(output)).chunk(4, dim=1)
            memory = torch.sigmoid(forget) * memory + torch.sigmoid(enter) * torch.tanh(new)
            output = torch.sigmoid(leave) * torch.tanh(memory)
            outputs[step] = output
        return torch.stack([outputs[step] for step in steps], dim=1)


class BidirectionalConvLSTM(nn.Module):
    """Two of them, one from either end; their outputs are channels side by side, forward first.

    Args:
        channels: Of the input and of the output, even: half of the output from each direction.
        kernel: Odd size of the convolutions.

    Example:
        >>> BidirectionalConvLSTM(8, 3)(torch.zeros(2, 5, 8, 6, 6)).shape
        torch.Size([2, 5, 8, 6, 6])

    Source: Chen et al. 2016, arXiv:1609.01006, section 2.2.
    """

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.ahead = ConvLSTM(channels, channels // 2, kernel)
        self.back = ConvLSTM(channels, channels // 2, kernel, reverse=True)

    def forward(self, x: Float[Tensor, "b s c *plane"]) -> Float[Tensor, "b s c *plane"]:
        """The outputs of both at each slice.

        Args:
            x: A stack of slices.
        """
        return torch.cat([self.ahead(x), self.back(x)], dim=2)
