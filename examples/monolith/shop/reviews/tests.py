"""Reviews by those who bought."""

from shop.reviews.models import Review
from shop.testing import ShopTestCase, make_customer, make_order, make_product, make_staff


class ReviewTests(ShopTestCase):
    @classmethod
    def setUpTestData(cls):
        cls.ann = make_customer("Ann Able")
        cls.kettle, cls.pan = make_product("Kettle"), make_product("Pan")
        make_order(cls.ann, cls.kettle)

    def setUp(self):
        self.client.force_login(self.ann.user)

    def review(self, product, **values):
        return self.client.post(
            f"/products/{product.pk}/review/", {"stars": 4, "text": "Boils fast", **values}, follow=True
        )

    def test_a_review_stands_on_the_products_page(self):
        page = self.review(self.kettle)
        self.assertContains(page, "Thank you for your review.")
        self.assertContains(page, "<p>Boils fast</p>")
        self.assertContains(page, "<strong>Ann Able</strong>")

    def test_all_reviews_of_a_product_are_listed_and_hidden_ones_are_not(self):
        self.review(self.kettle)
        path = f"/products/{self.kettle.pk}/reviews/"
        self.assertContains(self.client.get(self.kettle.get_absolute_url()), f'href="{path}"')
        self.assertContains(self.client.get(path), "<p>Boils fast</p>")
        Review.objects.update(published=False)
        self.assertContains(self.client.get(path), "Nobody has reviewed it yet.")

    def test_another_review_takes_the_place_of_the_first(self):
        self.review(self.kettle)
        self.review(self.kettle, stars=1, text="It leaks")
        review = Review.objects.get()
        self.assertEqual((review.stars, review.text), (1, "It leaks"))

    def test_what_was_not_bought_is_not_reviewed(self):
        self.assertContains(self.review(self.pan), "Only customers who bought it review a product.")
        self.assertFalse(Review.objects.exists())

    def test_there_are_one_to_five_stars(self):
        for stars in (0, 6, "", "many"):
            self.assertContains(self.review(self.kettle, stars=stars), "Give one to five stars.")
        self.assertFalse(Review.objects.exists())

    def test_strangers_are_asked_to_log_in(self):
        self.client.logout()
        self.assertNotContains(self.client.get(self.kettle.get_absolute_url()), "Send review")
        self.assertRedirects(self.review(self.kettle), f"/account/login/?next=/products/{self.kettle.pk}/review/")

    def test_a_product_with_reviews_is_deleted_with_them(self):
        Review.objects.create(product=self.pan, customer=self.ann, author="Ann Able", stars=3)
        self.pan.delete()
        self.assertFalse(Review.objects.exists())

    def test_the_staff_hide_reviews_in_the_admin(self):
        review = Review.objects.create(product=self.kettle, customer=self.ann, author="Ann Able", stars=3)
        self.client.force_login(make_staff())
        chosen = {"action": "hide", "_selected_action": [review.pk]}
        self.assertContains(self.client.post("/admin/reviews/review/", chosen, follow=True), "1 hidden.")
        self.assertFalse(Review.objects.get(pk=review.pk).published)

    def test_the_staff_find_reviews_by_product(self):
        Review.objects.create(product=self.kettle, customer=self.ann, author="Ann Able", stars=3)
        self.client.force_login(make_staff())
        for text, count in (("kettle", 1), ("pan", 0)):
            page = self.client.get("/admin/reviews/review/", {"q": text})
            self.assertEqual(page.context["cl"].result_count, count)
