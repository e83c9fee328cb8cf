"""What a trained run shows: a map of the videos, genres of a video's scenes."""
