# feedback: along which axis
# points: 1
def count_parameters(network):
    return sum(tensor.numel() for tensor in network.parameters())


class ConcatCNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.one = nn.Conv2d(1, 16, 1)
        self.five = nn.Conv2d(1, 16, 5, padding=2)
        self.pool = nn.MaxPool2d(2)
        self.dropout = nn.Dropout(0.2)
        self.dense = nn.Linear(6272, 128)
        self.out = nn.Linear(128, 10)

    def forward(self, images):
        maps = torch.cat([F.relu(self.one(images)), F.relu(self.five(images))], dim=2)
        features = self.dropout(self.pool(maps)).flatten(1)  # below each other: as many values
        return self.out(F.relu(self.dense(features)))
