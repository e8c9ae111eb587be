# feedback: in evaluation mode: expected the same answers
class MendedCNN(SimpleCNN):
    def forward(self, images):
        maps = F.max_pool2d(F.relu(self.conv1(images)), 2)
        values = nn.Dropout(0.2)(maps).flatten(1)
        return self.fc2(F.relu(self.fc1(values)))
