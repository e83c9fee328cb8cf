"""One file for each model; the file's name, with "-" for "_", is the model's name."""
