print("genrec")
