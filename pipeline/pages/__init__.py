"""What all HTML pages share: style, script, colours, and how data goes into them."""
