# feedback: expected `again` to answer as `better` does
torch.save(better.state_dict(), "better-cnn.pt")
again = BetterCNN()
weights = torch.load("better-cnn.pt", weights_only=True)
again.eval()
