"""River estimators behind the model seam."""
