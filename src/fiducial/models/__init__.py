"""Networks: a batch of images in, logits out.

A model is an `nn.Module` with keyword-only options, among them `in_channels`, `num_outputs`, `spatial_dims`
and, where the layers depend on it, `size`. One with the class attribute `takes_length = True` also accepts
the number of frames of each case, and likewise `takes_present` which channels are there (`present`) and
`takes_columns` features from a table (`columns`). late_fusion and image_table wrap any other network, filled gives
missing channels a learned value. MONAI's and torch's classes are named in conf/model/: no code here.
"""
