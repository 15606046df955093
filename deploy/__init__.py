"""What puts the product on AWS, and what it costs there. See README.md."""
