"""What table functions share: how they are declared, their options, alignments of pairs, trees."""
