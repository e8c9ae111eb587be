class BranchCNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc2 = nn.Linear(128, 10)
        self.fc1 = nn.Linear(16 * 14 * 14, 128)
        self.conv5 = nn.Conv2d(1, 16, (5, 5), padding=(2, 2))
        self.conv1 = nn.Conv2d(1, 16, (1, 1))

    def forward(self, x):
        x = merge([self.conv1(x).relu(), self.conv5(x).relu()], "sum")
        x = F.max_pool2d(x, kernel_size=2, stride=2)
        x = F.dropout(x, p=0.2, training=self.training)
        x = x.reshape(len(x), -1)
        return self.fc2(torch.relu(self.fc1(x)))
