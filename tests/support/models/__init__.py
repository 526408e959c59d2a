"""Small models: random ones of every family, some trained to recite, some with a recall planted by hand."""
