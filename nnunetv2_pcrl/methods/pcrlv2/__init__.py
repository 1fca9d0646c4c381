"""PCRLv2: views, network, loss, settings and what is shown of them."""
