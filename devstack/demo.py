def list_catalogue(state): pass
def place_order(state): pass
def curl(state): return ""
