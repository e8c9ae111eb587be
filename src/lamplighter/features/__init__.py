"""What can be done with the features of images: kept, searched, learned from."""
