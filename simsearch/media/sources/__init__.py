"""Photos that are no plain files: objects of stores, pages of web servers, members of archives."""
