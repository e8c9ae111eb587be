# feedback: expected a ReLU after the first dense layer
# points: 1
class BranchCNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.one = nn.Conv2d(1, 16, 1)
        self.five = nn.Conv2d(1, 16, 5, padding=2)
        self.pool = nn.MaxPool2d(2)
        self.dropout = nn.Dropout(0.2)
        self.dense = nn.Linear(16 * 14 * 14, 128)
        self.out = nn.Linear(128, 10)

    def forward(self, images):
        maps = merge([F.relu(self.one(images)), F.relu(self.five(images))], "sum")
        features = self.dropout(self.pool(maps)).flatten(1)
        return self.out(self.dense(features))
