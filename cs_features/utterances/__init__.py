"""What people said, without what machines wrapped it in: `markup` and `mail` take it out, `readable` decides where."""
