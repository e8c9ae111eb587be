"""Many images with labels: folders, tables, splits, batches, and the data sets that come along."""
