"""What the member gets: deliveries are proved, checked again, recorded and receipted."""
