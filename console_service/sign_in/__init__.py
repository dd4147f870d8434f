"""How one signs in and out.

form      by a token of the issuer, typed in or in a link; and out
oidc      at the issuer itself, where the console is told of it
sessions  who is signed in, as rows of the console's database
"""
