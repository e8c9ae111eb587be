# feedback: expected about a fifth of the values dropped, saw 0 %
class MendedCNN(SimpleCNN):
    def forward(self, images):
        maps = F.max_pool2d(F.relu(self.conv1(images)), 2)
        values = F.dropout(maps, 0.2, training=False).flatten(1)
        return self.fc2(F.relu(self.fc1(values)))
