raise ImportError("the sick plugin has a fever")
