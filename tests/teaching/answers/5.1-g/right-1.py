from pathlib import Path

path = Path("better-cnn.pt")
with path.open("wb") as file:
    torch.save({name: value.clone() for name, value in better.state_dict().items()}, file)
again = BetterCNN().eval()
for name, parameter in again.named_parameters():
    parameter.data = torch.load(path)[name]
