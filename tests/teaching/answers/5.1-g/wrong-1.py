# feedback: was the whole network saved
torch.save(better, "better-cnn.pt")
again = torch.load("better-cnn.pt", weights_only=False)
again.eval()
