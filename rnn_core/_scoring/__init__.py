"""Tables through models: Arrow batches, and files of any size."""
