"""Pictures that follow the hand: knows no flow, and imports nothing else of flowlib."""
