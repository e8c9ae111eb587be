"""Seeing inside: filters, feature maps, what a neuron wants to see, and why this answer."""
