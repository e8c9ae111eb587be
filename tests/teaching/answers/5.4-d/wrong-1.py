# feedback: expected 16 parameters
# points: 2
def count_parameters(network):
    return len(list(network.parameters()))


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
        maps = merge([F.relu(self.one(images)), F.relu(self.five(images))], "concatenate")
        features = self.dropout(self.pool(maps)).flatten(1)
        return self.out(F.relu(self.dense(features)))
