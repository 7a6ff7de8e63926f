"""Where cases come from, and how they become batches.

    source            the contract: a table of cases, what an image is like, the pixels of one case
    medmnist          the 18 MedMNIST v2 sets (facts in medmnist_sets)
    mednist           MONAI's tutorial set
    image_folder      folders of images, a class each
    table             a CSV of image files; columns are further ones, which come with the image
    phantom           synthetic images (drawn by anatomy)
    files             what sources of image files share; images reads one (formats decodes it), pack all of them once
    masked            the contract of sources with masks, each case a `sample`
    drive, chase_db1  fundus photographs with vessels
    decathlon, nnunet_raw, mask_table
                      volumes or pictures with masks (volume_files has what they share, volumes reads NIfTI)
    phantom_masks     synthetic images with masks; phantom_modalities, phantom_table: of two modalities, with columns
    boxed             the contract of sources with boxes (boxes in pixels and mm)
    box_table         a CSV of image files and one of boxes (box_lines; image_header tells sizes and places)
    phantom_boxes     synthetic images with boxes
    download, archive, splits, checks
    module            source → splits → loaders → batches (dataset, sampler, augment; for masks preparation, prepared,
                      patches, sides; for missing channels modalities); balance counts classes, gate finds leaks

Everything but the last entry is free of torch: a configuration is checked against a source before torch is loaded.
"""
