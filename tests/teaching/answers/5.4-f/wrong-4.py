# feedback: the six convolutions of the drawing
def conv(before, after, size):
    return nn.Sequential(
        nn.Conv2d(before, after, size, padding=size // 2, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(),
    )


class InceptionBlock(nn.Module):
    def __init__(self, in_channels, width):
        super().__init__()
        self.a = conv(in_channels, width, 1)
        self.b = nn.Sequential(conv(in_channels, width, 3))
        self.c = nn.Sequential(conv(in_channels, width, 5))
        self.d = nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), conv(in_channels, width, 1))

    def forward(self, maps):
        return torch.cat([self.a(maps), self.b(maps), self.c(maps), self.d(maps)], dim=1)
