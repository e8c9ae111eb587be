class BranchCNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.branches = nn.ModuleList(
            [
                nn.Sequential(nn.Conv2d(1, 16, kernel_size=5, padding="same"), nn.ReLU()),
                nn.Sequential(nn.Conv2d(1, 16, kernel_size=1), nn.ReLU()),
            ]
        )
        self.rest = nn.Sequential(
            nn.MaxPool2d(2),
            nn.Dropout(0.2),
            nn.Flatten(),
            nn.Linear(3136, 128),
            nn.ReLU(),
            nn.Linear(128, 10),
        )

    def forward(self, images):
        return self.rest(self.branches[0](images) + self.branches[1](images))
