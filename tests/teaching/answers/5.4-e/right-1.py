class ResidualBlock(nn.Module):
    def __init__(self, in_channels, out_channels, stride=1):
        super().__init__()
        # in another order than they are used in
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False)
        self.changes = stride > 1 or in_channels != out_channels
        if self.changes:
            self.conv = nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)
            self.bn = nn.BatchNorm2d(out_channels)

    def forward(self, x):
        path = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))
        if self.changes:
            x = self.bn(self.conv(x))
        return merge([x, path], "sum").relu()
