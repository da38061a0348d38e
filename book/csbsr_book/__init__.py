"""The book over csbsr: what the paper says, how a page is made, and what each chapter shows."""
