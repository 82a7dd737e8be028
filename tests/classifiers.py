"""torchvision's ImageNet classifiers, written out in PyTorch's own layers from their papers and documented structure.

Names of parameters and buffers are torchvision's, so that their ``state_dict()`` stands for its files of weights.
`stages` gives the features before each halving of the grid, finest first.
"""

import torch
from torch import Tensor, nn

NUMBERS = {
    "vgg16": 138_357_544,
    "vgg16_bn": 138_365_992,
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "googlenet": 6_624_904,
}
"""Parameters as torchvision documents them; GoogLeNet without its auxiliary classifiers."""


def classifier(name: str) -> nn.Module:
    """One of `NUMBERS`, with fresh weights."""
    if name.startswith("vgg"):
        return VGG16(batch_norm=name.endswith("bn"))
    return GoogLeNet() if name == "googlenet" else ResNet(name)


class VGG16(nn.Module):
    """Configuration D; convolutions have a bias also where batch norm follows."""

    def __init__(self, *, batch_norm: bool, hidden: int = 4096) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 3
        for outputs in (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0):
            if outputs == 0:
                layers.append(nn.MaxPool2d(2, stride=2))
                continue
            layers.append(nn.Conv2d(inputs, outputs, 3, padding=1))
            layers += [nn.BatchNorm2d(outputs)] if batch_norm else []
            layers.append(nn.ReLU())
            inputs = outputs
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Linear(512 * 7 * 7, hidden),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(hidden, 1000),
        )

    def stages(self, x: Tensor) -> list[Tensor]:
        seen = []
        for layer in self.features:
            seen += [x] if isinstance(layer, nn.MaxPool2d) else []
            x = layer(x)
        return [*seen, x]


class Block(nn.Module):
    """Two convolutions of 3x3, or 1x1, 3x3 and 1x1 of four times the channels; the first 3x3 takes the stride."""

    def __init__(self, inputs: int, channels: int, stride: int, *, bottleneck: bool) -> None:
        super().__init__()
        kernels = (1, 3, 1) if bottleneck else (3, 3)
        outputs = channels * (4 if bottleneck else 1)
        widths = (inputs, channels, channels, outputs) if bottleneck else (inputs, channels, channels)
        self.depth = len(kernels)
        stepping = kernels.index(3)
        for n, kernel in enumerate(kernels):
            step = stride if n == stepping else 1
            conv = nn.Conv2d(widths[n], widths[n + 1], kernel, stride=step, padding=kernel // 2, bias=False)
            self.add_module(f"conv{n + 1}", conv)
            self.add_module(f"bn{n + 1}", nn.BatchNorm2d(widths[n + 1]))
        self.downsample = None
        if stride != 1 or inputs != outputs:
            conv = nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False)
            self.downsample = nn.Sequential(conv, nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for n in range(1, self.depth + 1):
            y = getattr(self, f"bn{n}")(getattr(self, f"conv{n}")(y))
            y = torch.relu(y) if n < self.depth else y
        return torch.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    """18, 34 or 50 layers."""

    def __init__(self, name: str) -> None:
        super().__init__()
        depths = (2, 2, 2, 2) if name == "resnet18" else (3, 4, 6, 3)
        bottleneck = name == "resnet50"
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        inputs = 64
        for stage, (channels, depth) in enumerate(zip((64, 128, 256, 512), depths, strict=True), start=1):
            blocks = []
            for at in range(depth):
                stride = 2 if at == 0 and stage > 1 else 1
                blocks.append(Block(inputs, channels, stride, bottleneck=bottleneck))
                inputs = channels * (4 if bottleneck else 1)
            self.add_module(f"layer{stage}", nn.Sequential(*blocks))
        self.fc = nn.Linear(inputs, 1000)

    def stages(self, x: Tensor) -> list[Tensor]:
        seen = [torch.relu(self.bn1(self.conv1(x)))]
        x = nn.functional.max_pool2d(seen[0], 3, stride=2, padding=1)
        for stage in range(1, 5):
            x = getattr(self, f"layer{stage}")(x)
            seen.append(x)
        return seen


class Conv(nn.Module):
    """Convolution without bias, batch norm with eps 0.001, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.bn(self.conv(x)))


class Inception(nn.Module):
    """Four branches; the third has a 3x3 where the paper has a 5x5."""

    def __init__(self, inputs: int, a: int, b: int, c: int, d: int, e: int, f: int) -> None:
        super().__init__()
        self.branch1 = Conv(inputs, a, 1)
        self.branch2 = nn.Sequential(Conv(inputs, b, 1), Conv(b, c, 3))
        self.branch3 = nn.Sequential(Conv(inputs, d, 1), Conv(d, e, 3))
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1, ceil_mode=True), Conv(inputs, f, 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], dim=1)


class GoogLeNet(nn.Module):
    """With batch norm, without auxiliary classifiers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = Conv(3, 64, 7, stride=2)
        self.conv2 = Conv(64, 64, 1)
        self.conv3 = Conv(64, 192, 3)
        self.inception3a = Inception(192, 64, 96, 128, 16, 32, 32)
        self.inception3b = Inception(256, 128, 128, 192, 32, 96, 64)
        self.inception4a = Inception(480, 192, 96, 208, 16, 48, 64)
        self.inception4b = Inception(512, 160, 112, 224, 24, 64, 64)
        self.inception4c = Inception(512, 128, 128, 256, 24, 64, 64)
        self.inception4d = Inception(512, 112, 144, 288, 32, 64, 64)
        self.inception4e = Inception(528, 256, 160, 320, 32, 128, 128)
        self.inception5a = Inception(832, 256, 160, 320, 32, 128, 128)
        self.inception5b = Inception(832, 384, 192, 384, 48, 128, 128)
        self.fc = nn.Linear(1024, 1000)

    @staticmethod
    def transform_input(x: Tensor) -> Tensor:
        """What torchvision does to images that were brought to ImageNet's mean and deviation, before all else."""
        mean, std = (torch.tensor(v).reshape(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
        return x * (std / 0.5) + (mean - 0.5) / 0.5

    def stages(self, x: Tensor) -> list[Tensor]:
        pool = nn.functional.max_pool2d
        at2 = self.conv1(x)
        at4 = self.conv3(self.conv2(pool(at2, 3, stride=2, ceil_mode=True)))
        at8 = self.inception3b(self.inception3a(pool(at4, 3, stride=2, ceil_mode=True)))
        at16 = pool(at8, 3, stride=2, ceil_mode=True)
        for part in "abcde":
            at16 = getattr(self, f"inception4{part}")(at16)
        at32 = self.inception5b(self.inception5a(pool(at16, 2, stride=2, ceil_mode=True)))
        return [at2, at4, at8, at16, at32]
