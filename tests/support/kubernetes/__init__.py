"""deploy/kubernetes, rendered and looked at: the same checks read what kustomize writes and what a server keeps."""
