class MendedCNN(SimpleCNN):
    def forward(self, images):
        maps = F.max_pool2d(F.relu(self.conv1(images)), 2)
        values = maps.reshape(len(maps), -1)
        if self.training:
            values = F.dropout(values, p=0.2)
        return self.fc2(F.relu(self.fc1(values)))
