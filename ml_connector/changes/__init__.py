"""How changes arrive by themselves: event streams, the poll that covers their gaps, hand-over."""
