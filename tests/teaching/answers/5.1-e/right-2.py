class BetterCNN(nn.Sequential):
    def __init__(self):
        super().__init__()
        layers = [nn.Conv2d(1, 30, 5), nn.Conv2d(30, 15, 3)]
        for number, layer in enumerate(layers, start=1):
            self.add_module(f"conv{number}", layer)
            self.add_module(f"relu{number}", nn.ReLU())
            self.add_module(f"pool{number}", nn.MaxPool2d(2))
        self.add_module("flatten", nn.Flatten())
        self.add_module("dropout", nn.Dropout(0.2))
        self.fc1, self.relu3 = nn.Linear(375, 128), nn.ReLU()
        self.fc2, self.relu4 = nn.Linear(128, 50), nn.ReLU()
        self.fc3 = nn.Linear(50, 10)
