"""What is measured, each row with the reference way of doing the same work beside it in the same run."""
