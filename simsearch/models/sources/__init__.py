"""Who builds an untrained network and knows its record: torchvision, efficientnet-lite, timm."""
