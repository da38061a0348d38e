"""The experiments of Sec. IV: what is run, how a number comes to be, and when it is fresh."""
