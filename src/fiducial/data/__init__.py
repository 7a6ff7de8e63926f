"""Where cases come from, and how they become batches.

    source            the contract: a table of cases, what an image is like, the pixels of one case
    medmnist          the 18 MedMNIST v2 sets (facts in medmnist_sets)
    mednist           MONAI's tutorial set
    image_folder      folders of images, a class each
    table             a CSV of image files
    phantom           synthetic images (drawn by anatomy)
    files             what sources of image files share; images reads one (formats decodes it), pack all of them once
    download, splits, checks
    module            source → splits → loaders → batches (dataset, sampler, augment)

Everything but the last line is free of torch: a configuration is checked against a source before torch is loaded.
"""
